#include "domain/metrics.h"

namespace rookery::muc {

MucMetrics::MucMetrics(telemetry::Metrics& m)
    : stanzas(m.Counter("stanzas_total", "Stanzas that were applied to rooms")),
      said(
          m.Counter("stanzas_said_total", "Stanzas that followed, each counted once for all its recipients")),
      deliveries(m.Counter("deliveries_total", "Stanzas that followed, counted for each recipient")),
      archived(m.Counter("messages_archived_total", "Messages put on the log for the archive of their room")),
      rooms_loaded(m.Counter("rooms_loaded_total", "Rooms looked for in the store")),
      rooms_unloaded(m.Counter("rooms_unloaded_total", "Rooms that were quiet and are in the store only")),
      failed_loads(m.Counter("failed_loads_total", "Times that the store did not give rooms")),
      stanzas_without_room(
          m.Counter("stanzas_without_room_total", "Stanzas refused because their room could not be loaded")),
      rooms_without_verdict(
          m.Counter("rooms_without_verdict_total",
                    "Rooms that came to exist though nobody had found out whether they may: a fault")),
      checkpoints(m.Counter("checkpoints_total", "Rooms written to the store")),
      failed_checkpoints(m.Counter("failed_checkpoints_total", "Times that the store did not take one")),
      rooms(m.Gauge("rooms", "Rooms in memory")),
      occupants(m.Gauge("occupants", "Sessions in these rooms")),
      room_bytes(m.Gauge("room_bytes", "Bytes that these rooms take, about")),
      unsaved_rooms(m.Gauge("unsaved_rooms", "Rooms that have changed since their last checkpoint")) {}

}  // namespace rookery::muc
