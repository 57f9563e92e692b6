#include "loop.h"

#include <boost/asio/post.hpp>
#include <utility>

#include "tcp_core.h"

namespace rookery::net {

asio::execution_context::id Loop::id;

Loop::Loop(asio::execution_context& context)
    : asio::execution_context::service(context),
      io_(static_cast<asio::io_context&>(context)),
      buffer_(std::make_unique<char[]>(kReadBufferSize)) {}

Loop& Loop::Of(asio::io_context& io) {
  return asio::use_service<Loop>(static_cast<asio::execution_context&>(io));
}

void Loop::QueueFlush(std::shared_ptr<TcpCore> core) {
  dirty_.push_back(std::move(core));
  if (dirty_.size() == 1) asio::post(io_, [this] { FlushAll(); });
}

void Loop::FlushAll() {
  // A flush calls handlers, which queue more: that belongs to the next turn.
  flushing_.swap(dirty_);
  for (const auto& core : flushing_) core->Flush();
  flushing_.clear();
}

void Loop::shutdown() noexcept {
  dirty_.clear();
  flushing_.clear();
}

}  // namespace rookery::net
