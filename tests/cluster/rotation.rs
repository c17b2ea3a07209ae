//! Certificates rotate, replicas come and go, and no admission fails.
