#pragma once

#include <string>

namespace evictbench {

// The stem of a lower-case word: Porter's algorithm (1980) with the changes that NLTK's PorterStemmer makes by
// default (irregular forms, -ied, -alli, -fulli, -logi, short words). Words without a rule come back as they are.
std::string porter_stem(std::string word);

}  // namespace evictbench
