#include "rookery/xmpp/stream_parser.h"

#include <algorithm>
#include <utility>

#include "rookery/xmpp/ns.h"
#include "xml_worker.h"

namespace rookery::xmpp {
namespace {

bool IsSpace(char c) { return c == ' ' || c == '\n' || c == '\r' || c == '\t'; }

std::size_t SpacesAt(std::string_view data, std::size_t from) {
  std::size_t at = from;
  while (at < data.size() && IsSpace(data[at])) ++at;
  return at - from;
}

}  // namespace

struct StreamParser::Impl {
  enum class State : unsigned char { kStart, kOpen, kClosed };

  Impl(Framing framing_in, StreamHandler& handler_in, const ParserLimits& limits_in)
      : framing(framing_in), handler(handler_in), limits(limits_in) {}

  StreamParseError Fail(StreamParseError why) {
    error = why;
    worker.reset();
    return why;
  }

  StreamParseError ParseStream(std::string_view data, std::size_t* consumed);
  StreamParseError ParseMessage(std::string_view message);
  StreamParseError BeginStreamItem(std::string_view data, std::size_t& at);
  StreamParseError FeedStream(std::string_view data, std::size_t& at, bool& fresh);
  StreamParseError DeliverMessage(std::unique_ptr<XmlWorker> done, bool pooled);
  void DeliverStreamItem();

  Framing framing;
  StreamHandler& handler;
  ParserLimits limits;
  StreamParseError error = StreamParseError::kNone;
  State state = State::kStart;
  bool stop = false;                  // Reset or Pause was called by the handler
  unsigned char mark_bytes = 0;       // of a byte order mark
  bool is_text = false;               // what the worker reads does not begin with `<`
  bool begun = false;                 // something other than a byte order mark has come
  std::size_t white_space = 0;        // since the last element
  std::size_t pending = 0;            // bytes of the element being read
  std::string root;                   // the stream's open tag, namespaces only
  std::unique_ptr<XmlWorker> worker;  // only while an element is being read
};

// Between elements: white space, byte order mark, and then a worker for what follows.
StreamParseError StreamParser::Impl::BeginStreamItem(std::string_view data, std::size_t& at) {
  while (!begun && at < data.size() && mark_bytes < kByteOrderMark.size() &&
         data[at] == kByteOrderMark[mark_bytes]) {
    ++mark_bytes;
    ++at;
  }
  if (at == data.size()) return StreamParseError::kNone;
  if (!begun) {
    begun = true;
    if (mark_bytes == 0 && (data[at] == '\xFE' || data[at] == '\xFF')) {  // UTF-16 and UTF-32
      return Fail(StreamParseError::kUnsupportedEncoding);
    }
    if (mark_bytes == 1 || mark_bytes == 2) return Fail(StreamParseError::kNotWellFormed);
  }
  const std::size_t spaces = SpacesAt(data, at);
  const std::size_t allowed =
      limits.max_white_space_bytes - std::min(white_space, limits.max_white_space_bytes);
  if (spaces > allowed) return Fail(StreamParseError::kPolicyViolation);
  white_space += spaces;
  at += spaces;
  if (at == data.size()) return StreamParseError::kNone;
  if (state == State::kClosed || (state == State::kStart && data[at] != '<')) {
    return Fail(StreamParseError::kNotWellFormed);
  }
  pending = 0;
  worker = state == State::kStart ? XmlWorker::ForDocument(XmlWorker::Items::kChildren)
                                  : WorkerPool::OfThisThread().Take(root);
  worker->BeginItem(limits);
  is_text = data[at] != '<';
  return StreamParseError::kNone;
}

// One piece to expat, within the limit on the element's size.
StreamParseError StreamParser::Impl::FeedStream(std::string_view data, std::size_t& at, bool& fresh) {
  const std::size_t allowed = limits.max_stanza_bytes - std::min(pending, limits.max_stanza_bytes);
  const std::string_view rest = data.substr(at, allowed);
  StreamParseError result = StreamParseError::kNone;
  std::size_t used = 0;
  if (!is_text) {
    result = worker->FeedPiece(rest, rest.size() == allowed, &fresh, &used);
  } else if (!rest.empty()) {
    result = worker->FeedByte(rest.front());
    used = 1;
  }
  pending += used;
  at += used;
  if (result != StreamParseError::kNone) return Fail(result);
  if (pending >= limits.max_stanza_bytes && !worker->item_ready() && !worker->header_ready() &&
      !worker->root_closed()) {
    return Fail(StreamParseError::kPolicyViolation);
  }
  return StreamParseError::kNone;
}

// The worker goes back before the handler runs, which may do what it likes with us.
void StreamParser::Impl::DeliverStreamItem() {
  std::unique_ptr<XmlWorker> done = std::move(worker);
  pending = 0;
  white_space = 0;
  if (done->header_ready()) {
    const Element header = done->TakeHeader();
    const std::string default_ns = done->default_ns();
    const bool closed = done->root_closed();
    root = done->root();
    state = closed ? State::kClosed : State::kOpen;
    done->ClearHeader();
    WorkerPool::OfThisThread().Give(std::move(done));
    handler.OnStreamOpen(header, default_ns);
    if (closed && !stop) handler.OnStreamClose();
  } else if (done->root_closed()) {
    state = State::kClosed;
    done.reset();
    handler.OnStreamClose();
  } else if (done->is_stanza()) {
    Stanza stanza = done->TakeStanza();
    WorkerPool::OfThisThread().Give(std::move(done));
    handler.OnStanza(std::move(stanza));
  } else {
    const Element element = done->TakeElement();
    WorkerPool::OfThisThread().Give(std::move(done));
    handler.OnElement(element);
  }
}

StreamParseError StreamParser::Impl::ParseStream(std::string_view data, std::size_t* consumed) {
  std::size_t at = 0;
  bool fresh = true;
  while (at < data.size() && !stop) {
    if (!worker) {
      if (BeginStreamItem(data, at); error != StreamParseError::kNone || !worker) break;
    }
    if (FeedStream(data, at, fresh); error != StreamParseError::kNone) break;
    if (worker->item_ready() || worker->header_ready() || worker->root_closed()) DeliverStreamItem();
  }
  *consumed = at;
  return error;
}

StreamParseError StreamParser::Impl::DeliverMessage(std::unique_ptr<XmlWorker> done, bool pooled) {
  auto give_back = [&] {
    if (pooled) WorkerPool::OfThisThread().Give(std::move(done));
  };
  if (done->is_stanza()) {
    Stanza stanza = done->TakeStanza();
    give_back();
    handler.OnStanza(std::move(stanza));
    return StreamParseError::kNone;
  }
  const Element element = done->TakeElement();
  give_back();
  const bool open = element.Is("open", ns::kFraming);
  if (!open && !element.Is("close", ns::kFraming)) {
    handler.OnElement(element);
    return StreamParseError::kNone;
  }
  const std::string text = element.Text();
  if (SpacesAt(text, 0) != text.size() ||
      std::any_of(element.children().begin(), element.children().end(),
                  [](const Element& child) { return !child.name().empty(); })) {
    return Fail(StreamParseError::kBadFormat);
  }
  if (open) {
    handler.OnStreamOpen(element, ns::kClient);
  } else {
    handler.OnStreamClose();
  }
  return StreamParseError::kNone;
}

// RFC 7395 section 3.3: a message is a whole document. Nearly every one is a bare
// element, which is read as a child of an open root, like a stanza of a stream.
StreamParseError StreamParser::Impl::ParseMessage(std::string_view message) {
  static const std::string kRoot = "<message-root>";
  if (message.size() > limits.max_stanza_bytes) return Fail(StreamParseError::kPolicyViolation);
  if (message.substr(0, 1) == "\xFE" || message.substr(0, 1) == "\xFF") {
    return Fail(StreamParseError::kUnsupportedEncoding);
  }
  if (message.substr(0, kByteOrderMark.size()) == kByteOrderMark)
    message.remove_prefix(kByteOrderMark.size());
  std::size_t at = SpacesAt(message, 0);
  const std::string_view beginning = message.substr(at, 2);
  if (beginning.size() < 2 || beginning[0] != '<' || beginning[1] == '/') {
    return Fail(StreamParseError::kNotWellFormed);
  }

  if (beginning[1] == '?' || beginning[1] == '!') {
    std::unique_ptr<XmlWorker> document = XmlWorker::ForDocument(XmlWorker::Items::kRoot);
    document->BeginItem(limits);
    if (const StreamParseError result = document->FeedDocument(message); result != StreamParseError::kNone) {
      return Fail(result);
    }
    return DeliverMessage(std::move(document), false);
  }

  std::unique_ptr<XmlWorker> element = WorkerPool::OfThisThread().Take(kRoot);
  element->BeginItem(limits);
  bool fresh = true;
  while (at < message.size() && !element->item_ready()) {
    std::size_t used = 0;
    const StreamParseError result = element->FeedPiece(message.substr(at), true, &fresh, &used);
    if (result != StreamParseError::kNone) return Fail(result);
    at += used;
  }
  if (!element->item_ready()) return Fail(StreamParseError::kNotWellFormed);
  at += SpacesAt(message, at);
  if (at != message.size()) {
    const std::string_view rest = message.substr(at);
    const bool restricted = rest.substr(0, 4) == "<!--" || rest.substr(0, 2) == "<?";
    return Fail(restricted ? StreamParseError::kRestrictedXml : StreamParseError::kNotWellFormed);
  }
  return DeliverMessage(std::move(element), true);
}

StreamParser::StreamParser(Framing framing, StreamHandler& handler, ParserLimits limits)
    : impl_(std::make_unique<Impl>(framing, handler, limits)) {}

StreamParser::~StreamParser() = default;

StreamParseError StreamParser::Parse(std::string_view data, std::size_t* consumed) {
  *consumed = 0;
  if (impl_->error != StreamParseError::kNone) return impl_->error;
  impl_->stop = false;
  if (impl_->framing == Framing::kStream) return impl_->ParseStream(data, consumed);
  *consumed = data.size();
  return impl_->ParseMessage(data);
}

void StreamParser::Reset() {
  Impl& impl = *impl_;
  impl.error = StreamParseError::kNone;
  impl.state = Impl::State::kStart;
  impl.stop = true;
  impl.mark_bytes = 0;
  impl.begun = false;
  impl.white_space = impl.pending = 0;
  impl.root = std::string();
  impl.worker.reset();
}

void StreamParser::Pause() { impl_->stop = true; }

void StreamParser::set_limits(const ParserLimits& limits) { impl_->limits = limits; }

}  // namespace rookery::xmpp
