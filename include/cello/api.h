/* Which functions a shared libcello exports. */
#ifndef CELLO_API_H
#define CELLO_API_H

#define CELLO_API __attribute__((visibility("default")))

#endif
