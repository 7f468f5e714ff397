"""Images from a Debian or Ubuntu package mirror: a layer for each package, without dpkg, chroot or root."""
