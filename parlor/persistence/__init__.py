"""From a partition's queue into its shard: writer, leases, batches, dead letters."""
