"""`make demo`: a whole VPS migrated through its transit and back, on real servers, while visitors look on."""
