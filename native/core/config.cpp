// Reads a network's configuration. Every error names the key, the value found and the values possible.
#include "core/config.h"

#include <cmath>

#include "core/error.h"

namespace imageforge {

namespace {

const char * kind_of(const Config::Value & value) {
    static const char * const kinds[] = {"a number", "true or false", "a text", "a list of numbers"};
    return kinds[value.index()];
}

template <typename T>
const T & expect(const std::string & key, const Config::Value & value, const char * kind) {
    const T * typed = std::get_if<T>(&value);
    if (!typed)
        fail(ErrorCode::InvalidArgument, "Configuration key \"%s\" must be %s, found %s.", key.c_str(), kind,
             kind_of(value));
    return *typed;
}

int64_t whole(const std::string & key, double value, int64_t low, int64_t high) {
    if (!(value >= static_cast<double>(low) && value <= static_cast<double>(high)) ||
        value != std::floor(value))
        fail(ErrorCode::InvalidArgument,
             "Configuration key \"%s\" must hold whole numbers from %lld to %lld, found %g.", key.c_str(),
             static_cast<long long>(low), static_cast<long long>(high), value);
    return static_cast<int64_t>(value);
}

}  // namespace

bool Config::has(const std::string & key) const { return values_.count(key) != 0; }

const Config::Value & Config::get(const std::string & key) const {
    const auto found = values_.find(key);
    if (found == values_.end())
        fail(ErrorCode::InvalidArgument, "Configuration key \"%s\" is missing.", key.c_str());
    read_.insert(key);
    return found->second;
}

int64_t Config::integer(const std::string & key, int64_t low, int64_t high) const {
    return whole(key, expect<double>(key, get(key), "a whole number"), low, high);
}

int64_t Config::integer_or(const std::string & key, int64_t fallback, int64_t low, int64_t high) const {
    return has(key) ? integer(key, low, high) : fallback;
}

double Config::number(const std::string & key) const {
    const double value = expect<double>(key, get(key), "a number");
    if (!std::isfinite(value))
        fail(ErrorCode::InvalidArgument, "Configuration key \"%s\" must be finite, found %g.", key.c_str(),
             value);
    return value;
}

double Config::number_or(const std::string & key, double fallback) const {
    return has(key) ? number(key) : fallback;
}

bool Config::flag(const std::string & key) const { return expect<bool>(key, get(key), "true or false"); }

bool Config::flag_or(const std::string & key, bool fallback) const { return has(key) ? flag(key) : fallback; }

const std::string & Config::text(const std::string & key) const {
    return expect<std::string>(key, get(key), "a text");
}

std::vector<int64_t> Config::integers(const std::string & key, int64_t low, int64_t high) const {
    const auto & values = expect<std::vector<double>>(key, get(key), "a list of whole numbers");
    if (values.empty() || values.size() > 64)
        fail(ErrorCode::InvalidArgument, "Configuration key \"%s\" must hold 1 to 64 numbers, found %zu.",
             key.c_str(), values.size());
    std::vector<int64_t> result;
    for (const double value : values) result.push_back(whole(key, value, low, high));
    return result;
}

void Config::check_all_read(const std::string & network) const {
    for (const auto & entry : values_)
        if (read_.count(entry.first) == 0)
            fail(ErrorCode::InvalidArgument, "Configuration key \"%s\" is unknown to the network \"%s\".",
                 entry.first.c_str(), network.c_str());
}

}  // namespace imageforge
