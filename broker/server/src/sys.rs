//! `$SYS` (stub).
