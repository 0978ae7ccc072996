#!/bin/sh
# Builds the image that web.yaml names, on this host and without a registry, from Debian's busybox-static.
# An HTTP server on port 8080: /healthz says ok, /cgi-bin/who prints the pod's name and the caller's address.
set -eu
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
mkdir -p "$root/bin" "$root/etc" "$root/tmp" "$root/www/cgi-bin"
cp /bin/busybox "$root/bin/busybox"
for applet in $(/bin/busybox --list); do
  [ "$applet" = busybox ] || ln -s busybox "$root/bin/$applet"
done
echo 'root:x:0:0:root:/root:/bin/sh' > "$root/etc/passwd"
echo ok > "$root/www/healthz"
echo 'web:1' > "$root/www/index.html"
printf '#!/bin/sh\necho "Content-Type: text/plain"\necho\necho "$(hostname) $REMOTE_ADDR"\n' > "$root/www/cgi-bin/who"
chmod 755 "$root" "$root/www/cgi-bin/who"
chmod 1777 "$root/tmp"
tar -C "$root" -c . |
  podman import -q --change 'ENV PATH=/bin' --change 'CMD ["httpd","-f","-p","8080","-h","/www"]' - registry.lab:5000/web:1
