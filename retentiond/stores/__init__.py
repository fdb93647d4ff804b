"""Where things are: one kind of store each, and they do not know each other.

Guarantee: importing this package imports no store and no third-party library. A kind of store
is found by its entry point (`retentiond.stores.plugin`), ours like anybody's.
"""
