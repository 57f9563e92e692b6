#pragma once

#include <cstddef>
#include <list>

namespace rookery::gateway {

struct ClientSession;

/// Sessions whose clients are not read for the moment, since something is full, in the order in
/// which they came. A session stands before one gate at most. Outlives its sessions.
class ReadingGate {
 public:
  /// A session's place before a gate; leaves it when it dies.
  class Place {
   public:
    Place() = default;
    ~Place() { Leave(); }
    Place(const Place&) = delete;
    Place& operator=(const Place&) = delete;

    void Leave() {
      if (gate_ == nullptr) return;
      gate_->waiting_.erase(at_);
      gate_ = nullptr;
    }

   private:
    friend class ReadingGate;
    ReadingGate* gate_ = nullptr;
    std::list<ClientSession*>::iterator at_;
  };

  ReadingGate() = default;
  ReadingGate(const ReadingGate&) = delete;
  ReadingGate& operator=(const ReadingGate&) = delete;

  void Enter(ClientSession& session, Place& place) {
    if (place.gate_ == this) return;
    place.Leave();
    place.gate_ = this;
    place.at_ = waiting_.insert(waiting_.end(), &session);
  }
  bool empty() const { return waiting_.empty(); }
  std::size_t size() const { return waiting_.size(); }
  ClientSession& first() const { return *waiting_.front(); }

 private:
  std::list<ClientSession*> waiting_;
};

}  // namespace rookery::gateway
