"""Point clouds and meshes as files and as pictures; the only package that knows open3d."""
