#include "rookery/xmpp/vcard.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "rookery/xmpp/ns.h"

namespace rookery::xmpp {
namespace {

// printf abc | sha1sum, and of "abd".
constexpr char kAbc[] = "a9993e364706816aba3e25717850c26c9cd0d89d";
constexpr char kAbd[] = "cb4cc28df0fdbe0ecf9d9662e294b118092a5735";

Element Vcard(const std::string& children) {
  const auto vcard = ParsePayload("<vCard xmlns=\"vcard-temp\">" + children + "</vCard>");
  EXPECT_TRUE(vcard.ok()) << vcard.status();
  return vcard.ok() ? vcard->front() : Element();
}

std::string Photo(const std::string& base64) {
  return "<PHOTO><TYPE>image/png</TYPE><BINVAL>" + base64 + "</BINVAL></PHOTO>";
}

/// The hash and the size of each.
std::vector<std::pair<std::string, std::size_t>> Read(const std::string& children) {
  const auto photos = PhotosOf(Vcard(children));
  EXPECT_TRUE(photos.ok()) << photos.status();
  std::vector<std::pair<std::string, std::size_t>> read;
  if (photos.ok())
    for (const VcardPhoto& photo : *photos) read.emplace_back(photo.hash, photo.bytes);
  return read;
}

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Pair;

// XEP-0153 section 4.5: white space means nothing.
TEST(VcardPhotos, AreHashedWithoutTheirEncoding) {
  EXPECT_THAT(Read("<FN>A</FN>" + Photo("\n  YW\n  Jj\n")), ElementsAre(Pair(kAbc, 3)));
}

TEST(VcardPhotos, InTheirOrder) {
  EXPECT_THAT(Read(Photo("YWJk") + "<N/>" + Photo("YWJj")), ElementsAre(Pair(kAbd, 3), Pair(kAbc, 3)));
}

TEST(VcardPhotos, WhateverTheirTypeSays) {
  for (const char* type : {"", "<TYPE/>", "<TYPE>text/html</TYPE>", "<TYPE>x</TYPE><TYPE>y</TYPE>"})
    EXPECT_THAT(Read("<PHOTO>" + std::string(type) + "<BINVAL>YWJj</BINVAL></PHOTO>"),
                ElementsAre(Pair(kAbc, 3)));
}

TEST(VcardPhotos, WhereThereIsNoImage) {
  EXPECT_THAT(Read(""), IsEmpty());
  EXPECT_THAT(Read("<PHOTO/>" + Photo("") + Photo(" \n ")), IsEmpty());
  EXPECT_THAT(Read("<PHOTO><EXTVAL>http://example.org/a.png</EXTVAL></PHOTO>"), IsEmpty());
  EXPECT_THAT(Read("<LOGO><BINVAL>YWJj</BINVAL></LOGO>"), IsEmpty());
}

TEST(VcardPhotos, WhatIsNotBase64IsNone) {
  for (const char* wrong : {"????", "Y", "YWJj="})
    EXPECT_TRUE(absl::IsInvalidArgument(PhotosOf(Vcard(Photo("YWJj") + Photo(wrong))).status())) << wrong;
}

TEST(VcardPhotos, AreNotMany) {
  std::string four;
  for (int i = 0; i < 4; ++i) four += Photo("YWJj") + Photo("");
  EXPECT_EQ(Read(four).size(), kMaxVcardPhotos);
  EXPECT_TRUE(absl::IsInvalidArgument(PhotosOf(Vcard(four + Photo("YQ=="))).status()));
}

TEST(Vcards, AreEmptyWithoutAnElement) {
  EXPECT_TRUE(IsEmptyVcard(Vcard("")));
  EXPECT_TRUE(IsEmptyVcard(Vcard(" \n")));
  EXPECT_FALSE(IsEmptyVcard(Vcard("<FN/>")));
}

TEST(AvatarUpdates, SayTheHashOrThatThereIsNone) {
  EXPECT_EQ(MakeAvatarUpdate(kAbc).ToXml(ns::kClient),
            "<x xmlns=\"vcard-temp:x:update\"><photo>" + std::string(kAbc) + "</photo></x>");
  EXPECT_EQ(MakeAvatarUpdate("").ToXml(ns::kClient), "<x xmlns=\"vcard-temp:x:update\"><photo/></x>");
}

}  // namespace
}  // namespace rookery::xmpp
