//! Every bound that a peer, a disk or a user could otherwise push without end, each with its reason.

/// Largest frame on a small-request connection, in bytes: a bundle of [`INLINE_MAX`] plus its head, with room.
pub const FRAME_MAX: usize = 1 << 20;

/// Largest value that travels inside a small request or answer, in bytes. Above it a bulk stream on a connection of its own carries the
/// bytes, so that a megabyte never stands in front of a look-up.
pub const INLINE_MAX: usize = 256 << 10;

/// Largest bundle, in bytes as stored. Objects of real builds stay under 100 MiB; four times that bounds what one
/// push can make a node hold.
pub const BUNDLE_MAX: usize = 512 << 20;

/// Largest encoded head of a bundle (entry, messages' digests, blob table), in bytes.
pub const BUNDLE_HEAD_MAX: usize = 64 << 10;

/// Largest single blob after decompression, in bytes. Decompression never allocates more.
pub const BLOB_MAX: u64 = 512 << 20;

/// Largest sum of all blobs of one compile after decompression, in bytes: one object at its limit, and as much again for
/// everything beside it. What a restore holds in memory never exceeds it.
pub const OUTCOME_MAX: u64 = 1 << 30;

/// Largest blob that may be stored compressed, in bytes of raw content. It bounds what a few hostile bytes can unfold to;
/// above it decompression costs more time than a fast network needs for the bytes.
pub const COMPRESSED_BLOB_MAX: u64 = 64 << 20;

/// Largest encoded alias, in bytes: two keys, a digest, names and a signature.
pub const ALIAS_MAX: usize = 4096;

/// Largest list of dependencies, in bytes as stored tokens: [`DEPEND_PATHS_MAX`] paths of 256 bytes.
pub const DEPEND_MAX: usize = 16 << 20;

/// Most arguments, or variables of the environment, in one job: twice what Linux's usual `ARG_MAX` can hold of short ones.
pub const ARGV_ITEMS_MAX: usize = 262_144;

/// Most outputs of one compile: an object, a dependency file and every side file that the compilers know, twice over.
pub const OUTPUTS_MAX: usize = 32;

/// Longest path anywhere in a format, in bytes: Linux's `PATH_MAX`.
pub const PATH_MAX: usize = 4096;

/// Longest zone, operator or host label, in bytes.
pub const LABEL_MAX: usize = 64;

/// Most suggestions in one manifest. Older ones go first.
pub const SUGGESTIONS_MAX: usize = 16;

/// Most suggestions in one manifest that one client pushed: whoever floods a command with absurd ones leaves the others three quarters
/// of the places, and a machine seldom reads more than two sets of files for one command.
pub const SUGGESTIONS_PER_PUSHER_MAX: usize = 4;

/// Most bytes of manifests in one answer: with an inlined bundle they fit into one frame.
pub const SUGGESTED_MAX: usize = 512 << 10;

/// Most inputs of one suggestion: Chromium's largest translation units read under 10,000 files.
pub const INPUTS_MAX: usize = 20_000;

/// Most absent probes of one suggestion: search directories times spellings, after collapsing.
pub const PROBES_MAX: usize = 65_536;

/// Largest encoded manifest, in bytes.
pub const MANIFEST_MAX: usize = 4 << 20;

/// Most paths in a dependency file.
pub const DEPEND_PATHS_MAX: usize = 65_536;

/// Largest arguments of one compile that travel in a job, in bytes: twice Linux's usual `ARG_MAX`.
pub const ARGV_BYTES_MAX: usize = 4 << 20;

/// Most keys probed by one look-up: of the text `Free`, `Bound` and with the hidden arguments, and the one of the tokens.
pub const PROBE_KEYS_MAX: usize = 4;

/// Most further keys of one compile that get an alias to its bundle: the other ones that a look-up can probe.
pub const ALSO_KEYS_MAX: usize = PROBE_KEYS_MAX - 1;

/// Most nodes of a layout. Rows of the table name members by 16-bit index; four times the tested 64 leaves room.
pub const MEMBERS_MAX: usize = 256;

/// Most replicas of a partition.
pub const REPLICAS_MAX: usize = 5;

/// Most voters of the control plane: more add latency, not safety that an office needs.
pub const VOTERS_MAX: usize = 5;

/// Most addresses of one node.
pub const ADDRESSES_MAX: usize = 8;

/// Largest encoded layout with its table and signatures, in bytes.
pub const LAYOUT_MAX: usize = 512 << 10;

/// Most registered signers: one per developer machine of a very large office. Their directory must fit into one frame.
pub const SIGNERS_MAX: usize = 8192;

/// Most bytes of records in one answer of a partition pull.
pub const PULL_BYTES_MAX: usize = 512 << 10;

/// Largest control-plane message (Raft append or snapshot chunk), in bytes.
pub const CONTROL_MESSAGE_MAX: usize = 900 << 10;

/// Longest deadline that a peer may ask for, in ms. A longer one is clamped, never believed.
pub const DEADLINE_MAX_MS: u64 = 30_000;

/// Most connections that a node accepts at once; a client machine holds two or three.
pub const CONNECTIONS_MAX: usize = 4096;

/// Most connections from one address that have not finished their handshake.
pub const HANDSHAKES_PER_ADDRESS_MAX: usize = 64;

/// Most connections in all that have not finished their handshake: an attacker with many addresses holds no more than this.
pub const HANDSHAKES_MAX: usize = 512;

/// Most open connections of one peer: a client holds a handful, a node a handful per channel; one stolen key cannot take every place.
pub const CONNECTIONS_PER_PEER_MAX: usize = 64;

/// Most open enrolment connections: no certificate stands before them, and a cluster gains a handful of machines a day.
pub const ENROLMENTS_MAX: usize = 64;

/// Most open enrolment connections from one network (/24 or /64): a rack that is set up at once, not one attacker taking every place.
pub const ENROLMENTS_PER_NETWORK_MAX: usize = 16;

/// Longest TLS handshake, in ms.
pub const HANDSHAKE_MS: u64 = 5_000;

/// Longest time in which a frame that was begun must end, and in which a peer must take what is sent, in ms: 35 KB/s for the largest frame.
pub const FRAME_MS: u64 = 30_000;

/// Longest time without a single byte in the middle of a bulk transfer, in ms.
pub const BULK_STALL_MS: u64 = 10_000;

/// Requests that one connection may have in progress. A permit belongs to the work, so cancelling frees nothing early.
pub const REQUESTS_PER_CONNECTION_MAX: usize = 64;

/// Requests in progress on a node in all.
pub const REQUESTS_MAX: usize = 1024;

/// Bytes of bundles that a node holds in memory for requests in progress, in all.
pub const BYTES_IN_FLIGHT_MAX: usize = 1 << 30;

/// Bytes of bundles in progress for one peer.
pub const BYTES_IN_FLIGHT_PER_PEER_MAX: usize = 576 << 20;

/// Chunk of a bulk stream, in bytes: one TLS record times 16.
pub const BULK_CHUNK: usize = 256 << 10;

/// Most entries that wait in the agent's push journal.
pub const JOURNAL_ENTRIES_MAX: usize = 65_536;

/// Most bytes that wait in the agent's push journal.
pub const JOURNAL_BYTES_MAX: u64 = 2 << 30;

/// Most wrappers that the agent serves at once: `make -j512` on a large machine.
pub const LOCAL_CONNECTIONS_MAX: usize = 512;

/// Life of a join token, in seconds: one working day and the evening after it.
pub const TOKEN_LIFE_S: u64 = 24 * 3600;

/// Most redeemed tokens that the control plane remembers; expired ones go first.
pub const TOKENS_MAX: usize = 16_384;

/// Largest encoded directory of signers, in bytes: [`SIGNERS_MAX`] signers of 110 bytes. It travels in one frame.
pub const DIRECTORY_MAX: usize = 960 << 10;

/// Largest enrolment message, in bytes: certificates, a layout and a directory of an office.
pub const ENROLMENT_MAX: usize = 4 << 20;

/// Most layouts in one answer to a member that fell behind.
pub const LAYOUT_CHAIN_MAX: usize = 8;

/// Most records named in one answer of a partition pull.
pub const PULL_RECORDS_MAX: usize = 1024;

/// Most revoked nodes and keys. An id has 33 bytes: the list must fit into one frame.
pub const REVOCATIONS_MAX: usize = 8192;

/// Most namespaces of a cluster.
pub const NAMESPACES_MAX: usize = 1024;

/// Most namespaces named by one grant or signer.
pub const SIGNER_NAMESPACES_MAX: usize = 64;

/// Most roots that are trusted at once: two during a rotation, and as many again for one that went wrong.
pub const ROOTS_MAX: usize = 4;

/// Most issuers: more than there can be voters.
pub const ISSUERS_MAX: usize = 16;

/// Largest root or issuer certificate, in bytes of DER; an Ed25519 one has about 400.
pub const CERTIFICATE_MAX: usize = 4096;

/// Most layouts whose hand-offs are unfinished. Reads walk all of them; removing a node is allowed beyond it.
pub const UNFINISHED_LAYOUTS_MAX: usize = 16;

/// Most layouts that changed the voters and are kept for clients that fell behind; older ones go first.
pub const VOTER_CHANGES_MAX: usize = 64;

/// Largest snapshot of the control state, in bytes: the directory twice, tokens, layouts and grants.
pub const CONTROL_STATE_MAX: usize = 128 << 20;

/// Largest signed grant, in bytes: it rides in a join token, which people copy by hand.
pub const GRANT_MAX: usize = 1536;

/// Largest signed order of an administrator, in bytes: a signer with all its namespaces.
pub const ORDER_MAX: usize = 16 << 10;

/// How far a copy's receipt stamp may be ahead of a node's own clock, in ms: a day, more than any clock is wrong that certificates
/// still work with. Stamps only grow, so one from the far future would stay.
pub const STAMP_AHEAD_MAX_MS: u64 = 24 * 60 * 60 * 1000;
