// The configuration of a network as it comes from JavaScript: a flat object of numbers, flags, texts and
// number lists. Every getter names the key in its error; check_all_read() refuses unknown keys.
#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <variant>
#include <vector>

namespace imageforge {

class Config {
public:
    using Value = std::variant<double, bool, std::string, std::vector<double>>;

    void set(const std::string & key, Value value) { values_[key] = std::move(value); }
    bool has(const std::string & key) const;

    /// A whole number from `low` to `high`; missing or out of range: INVALID_ARGUMENT.
    int64_t integer(const std::string & key, int64_t low = 0, int64_t high = 1 << 24) const;
    /// The same, or `fallback` when the key is missing.
    int64_t integer_or(const std::string & key, int64_t fallback, int64_t low = 0,
                       int64_t high = 1 << 24) const;
    double number(const std::string & key) const;
    double number_or(const std::string & key, double fallback) const;
    bool flag(const std::string & key) const;
    bool flag_or(const std::string & key, bool fallback) const;
    const std::string & text(const std::string & key) const;
    /// A list of 1 to 64 whole numbers, each from `low` to `high`.
    std::vector<int64_t> integers(const std::string & key, int64_t low = 0, int64_t high = 1 << 24) const;

    /// INVALID_ARGUMENT for a key that no getter has read. Called after the network is constructed.
    void check_all_read(const std::string & network) const;

private:
    const Value & get(const std::string & key) const;

    std::map<std::string, Value> values_;
    mutable std::set<std::string> read_;
};

}  // namespace imageforge
