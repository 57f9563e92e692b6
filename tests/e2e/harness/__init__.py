"""What the scenarios are written with: a cluster of their own, clients, a Kafka consumer."""
