"""Operations, processes and alerts of a fleet, as a Prometheus server knows them."""
