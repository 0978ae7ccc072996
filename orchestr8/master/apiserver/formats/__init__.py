"""How objects look on the wire beside plain JSON: bodies in YAML and protobuf, answers as tables."""
