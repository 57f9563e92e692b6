#include "domain/delivery_window.h"

#include <algorithm>

#include "rookery/base/check.h"

namespace rookery::session_manager {

void DeliveryWindow::Start(std::int64_t offset) {
  records_.clear();
  next_ = offset;
}

void DeliveryWindow::Add(std::int64_t offset) {
  ROOKERY_CHECK(offset >= next_);
  records_.push_back({offset, 1});
  next_ = offset + 1;
}

DeliveryWindow::Record* DeliveryWindow::Find(std::int64_t offset) {
  if (records_.empty() || offset < records_.front().offset) return nullptr;
  // Offsets have no gaps in nearly every partition: try the place by arithmetic first.
  const auto index = static_cast<std::size_t>(offset - records_.front().offset);
  if (index < records_.size() && records_[index].offset == offset) return &records_[index];
  auto it =
      std::lower_bound(records_.begin(), records_.end(), offset,
                       [](const Record& record, std::int64_t wanted) { return record.offset < wanted; });
  return it != records_.end() && it->offset == offset ? &*it : nullptr;
}

void DeliveryWindow::Hold(std::int64_t offset) {
  if (Record* record = Find(offset)) ++record->holds;
}

void DeliveryWindow::Release(std::int64_t offset) {
  Record* record = Find(offset);
  if (record == nullptr) return;
  ROOKERY_CHECK(record->holds > 0);
  --record->holds;
  while (!records_.empty() && records_.front().holds == 0) records_.pop_front();
}

}  // namespace rookery::session_manager
