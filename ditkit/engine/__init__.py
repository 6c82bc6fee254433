"""One request in, one result out: the sampling engine that every command shares."""
