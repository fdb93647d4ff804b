"""What others can check: the audit log as a folder of files, and the checks that need nothing but that folder.

The log is a Merkle tree in the C2SP tlog-tiles layout (c2sp.org/tlog-tiles), hashed by RFC 6962
and signed as a note with Ed25519 (c2sp.org/signed-note, c2sp.org/tlog-checkpoint). Whoever holds
an earlier checkpoint and the public key can prove that nothing was changed or taken out since,
without trusting the program, the database or the host.

A tour, in the order of the way: `merkle` (the hashing), `note` (keys and signatures), `layout`
(the names of the files, and how they are written to last), `tiles` (reading the tree back),
`publish` (the one writer), `meaning` (what the entries must say of each other), `verify` (reads
every file), `proof` (evidence of a single entry), `export` (a copy for the auditor).
"""
