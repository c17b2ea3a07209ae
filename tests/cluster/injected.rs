//! What people meet in a cluster with the injector.
