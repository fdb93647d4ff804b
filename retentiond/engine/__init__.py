"""What it does: generators over the values of `core`, speaking only to the ports they own.

Looking and acting are two types. Whatever plans is handed something that cannot destroy.
"""
