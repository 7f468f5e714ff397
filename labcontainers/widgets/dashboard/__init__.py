"""The dashboard in a page: all containers with live charts, their logs, images, volumes, networks, events and disk use."""
