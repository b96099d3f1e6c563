namespace evictbench {}
