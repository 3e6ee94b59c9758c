"""Files on object stores and SFTP servers, by fsspec."""
