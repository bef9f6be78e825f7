/* The version of Cello: the build and the Python package read it from here. And those of the
 * libraries behind its protocols, which are chosen when the process starts. */
#ifndef CELLO_VERSION_H
#define CELLO_VERSION_H

#include <cello/api.h>

#define CELLO_VERSION "0.1.0"

/* Of the OpenSSL and the nghttp2 that this process has loaded, such as "3.0.19": static text.
 * Thread: any. */
CELLO_API const char *cello_openssl_version(void);
CELLO_API const char *cello_nghttp2_version(void);

#endif
