"""Images in archives: Docker's archives and OCI layouts, read and written, and root file systems that become images."""
