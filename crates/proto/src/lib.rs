//! Generated gRPC types, clients and servers, from `proto/` at the root of the repository.
//!
//! Nothing here is written by hand but these re-exports: one module a proto package.
#![forbid(unsafe_code)]
#![expect(
    clippy::allow_attributes,
    clippy::allow_attributes_without_reason,
    reason = "generated code cannot promise which lints it meets"
)]

macro_rules! package {
    ($($name:ident),+ $(,)?) => {$(
        #[doc = concat!("Package `aios.", stringify!($name), ".v1`.")]
        pub mod $name {
            /// Version 1.
            #[allow(missing_docs, unreachable_pub, clippy::all, clippy::pedantic, clippy::indexing_slicing, reason = "generated code")]
            pub mod v1 {
                include!(concat!(env!("OUT_DIR"), "/aios.", stringify!($name), ".v1.rs"));
            }
        }
    )+};
}

package!(
    agent,
    common,
    guard,
    init,
    memory,
    orchestrator,
    sandbox,
    tools,
    worker
);

/// The encoded `FileDescriptorSet` of every package, for gRPC server reflection.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));
