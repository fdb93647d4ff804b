"""For authors of plugins, and for ourselves: what shows that a store keeps its promises.

- `contract.StoreContract`: a suite for pytest that every store must pass.
- `contract.AnonymisingContract`: the same for a store that anonymises.
- `memory.MemoryPlace`: a place in memory with a store that passes it, and that can be told to break any promise.
- `faults.FaultyStore`: a store that fails at its n-th call or yield.
- `wire.Wire`: a TCP line to a real server that is far away, cut after so many bytes, or silent.

To see the values in a failed assertion, register the suite before importing it:
`pytest.register_assert_rewrite("retentiond.testing.contract")`.
"""
