#include <cello/version.h>

#include <openssl/crypto.h>

const char *cello_openssl_version(void) {
    return OpenSSL_version(OPENSSL_VERSION_STRING);
}
