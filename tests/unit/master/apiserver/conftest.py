from __future__ import annotations

import pytest

from tests.unit.master.apiserver.stand_in import Api


@pytest.fixture
async def api() -> Api:
    return Api()
