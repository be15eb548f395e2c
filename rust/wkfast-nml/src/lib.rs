//! NML, the skeleton file of WEBKNOSSOS: bytes to a columnar model and back, streaming.
