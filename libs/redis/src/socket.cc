#include "socket.h"

#include <hiredis/async.h>
#include <hiredis/hiredis.h>

#include <boost/asio/post.hpp>
#include <string>

#include "node.h"

namespace rookery::redis {

std::shared_ptr<Socket> Socket::Attach(asio::io_context& io, redisAsyncContext* context, Node& node) {
  std::shared_ptr<Socket> socket(new Socket(io));
  boost::system::error_code error;
  socket->descriptor_.assign(context->c.fd, error);
  if (error) return nullptr;
  socket->context_ = context;
  socket->node_ = &node;
  socket->self_ = socket;
  context->data = socket.get();
  context->ev.data = socket.get();
  context->ev.addRead = [](void* self) { static_cast<Socket*>(self)->WantRead(); };
  context->ev.delRead = [](void* self) { static_cast<Socket*>(self)->wants_read_ = false; };
  context->ev.addWrite = [](void* self) { static_cast<Socket*>(self)->WantWrite(); };
  context->ev.delWrite = [](void* self) { static_cast<Socket*>(self)->wants_write_ = false; };
  context->ev.cleanup = [](void* self) { static_cast<Socket*>(self)->Cleanup(); };
  return socket;
}

void Socket::Close() {
  node_ = nullptr;
  // Runs Cleanup; what waits gets null replies, which find no node.
  if (context_ != nullptr) redisAsyncFree(context_);
}

void Socket::WantRead() {
  wants_read_ = true;
  if (is_reading_) return;
  is_reading_ = true;
  descriptor_.async_wait(asio::posix::stream_descriptor::wait_read,
                         [self = shared_from_this()](const boost::system::error_code& error) {
                           self->is_reading_ = false;
                           if (error || self->context_ == nullptr || !self->wants_read_) return;
                           redisAsyncHandleRead(self->context_);
                         });
}

void Socket::WantWrite() {
  wants_write_ = true;
  if (is_writing_) return;
  is_writing_ = true;
  // From within a write: the kernel's buffer is full, so wait for it.
  if (is_connected_ && !is_in_write_) {
    asio::post(io_, [self = shared_from_this()] { self->HandleWrite(); });
    return;
  }
  descriptor_.async_wait(asio::posix::stream_descriptor::wait_write,
                         [self = shared_from_this()](const boost::system::error_code& error) {
                           if (error) {
                             self->is_writing_ = false;
                           } else {
                             self->HandleWrite();
                           }
                         });
}

void Socket::HandleWrite() {
  is_writing_ = false;
  if (context_ == nullptr || !wants_write_) return;
  is_in_write_ = true;
  redisAsyncHandleWrite(context_);
  // hiredis expects to be called again as long as it wants to write (still connecting).
  if (context_ != nullptr && wants_write_) WantWrite();
  is_in_write_ = false;
}

void Socket::Cleanup() {
  const std::shared_ptr<Socket> self = std::move(self_);
  const std::string reason = context_->errstr != nullptr ? context_->errstr : "";
  context_ = nullptr;
  // hiredis closes the descriptor.
  descriptor_.release();
  if (node_ != nullptr) node_->OnClosed(reason);
}

}  // namespace rookery::redis
