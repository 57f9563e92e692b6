#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace rookery::load {

/// Logs what was said in one room and what each occupant heard of it. A room gives all of them the same order
/// (XEP-0045, section 7.4, and RFC 6120, section 10.1), everything, and once.
class RoomLog {
 public:
  using Time = std::chrono::steady_clock::time_point;

  explicit RoomLog(std::size_t occupants) : occupants_(occupants), heard_(occupants), has_(occupants) {}

  /// The number of a new message, from 0. A sender's later message has the higher number.
  std::uint32_t Sent(std::uint32_t sender, Time due);
  std::size_t sent() const { return messages_.size(); }
  Time due(std::uint32_t number) const { return messages_[number].due; }
  std::uint32_t sender(std::uint32_t number) const { return messages_[number].sender; }

  enum class Hearing : std::uint8_t {
    kNew,
    kLast,     // new, and now every occupant has it
    kTwice,    // this occupant had it before; counted, else ignored
    kUnknown,  // nobody sent this; ignored
  };
  Hearing Heard(std::size_t occupant, std::uint32_t number);
  /// The room answered a message with an error: nobody need hear it. False: unknown, refused before, or
  /// heard.
  bool Refused(std::uint32_t number);

  struct Verdict {
    std::uint64_t lost = 0;          // for each occupant who should have heard it
    std::uint64_t twice = 0;         // likewise
    std::uint64_t disordered = 0;    // likewise: it came after one that it precedes elsewhere
    std::uint64_t sender_order = 0;  // messages that the room has behind a later one of their sender
    std::string example;             // of one of them, for people; empty: there are none
  };
  /// Orders are compared with that of the occupant who heard most, so a message that one has lost does not
  /// make the others' order wrong.
  Verdict Check() const;

 private:
  struct Message {
    Time due;
    std::uint32_t sender = 0;
    std::uint32_t left = 0;  // occupants who have not heard it
    bool refused = false;
  };
  void CheckLosses(Verdict& verdict) const;
  void CheckOrder(Verdict& verdict) const;

  const std::size_t occupants_;
  std::vector<Message> messages_;
  std::vector<std::vector<std::uint32_t>> heard_;  // of each occupant, in its order, without repetitions
  std::vector<std::vector<bool>> has_;             // of each occupant, by number
  std::uint64_t twice_ = 0;
  std::string first_twice_;
};

}  // namespace rookery::load
