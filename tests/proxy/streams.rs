//! Streams: as they come, metered along the way, and cut where they were cut.

mod cuts;
mod metering;
mod passing;
