// A program of somebody who uses the installed library.
#include <iostream>

#include "assay/core/file.h"
#include "assay/core/finding.h"

int main() {
  try {
    assay::MappedFile("no-such-file");
  } catch (const assay::Error& error) {
    std::cout << error.finding().id << "\n";
  }
}
