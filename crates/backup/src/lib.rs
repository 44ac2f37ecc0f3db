//! Whole-state backups.
