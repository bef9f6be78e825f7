/* Under AddressSanitizer pooled memory is poisoned while nobody owns it, and pools hand every block
 * back to malloc (CL_POISON is 1), so that a use after release is seen. */
#ifndef CL_BASE_POISON_H
#define CL_BASE_POISON_H

#if defined(__SANITIZE_ADDRESS__)
#define CL_POISON 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define CL_POISON 1
#endif
#endif

#if defined(CL_POISON)
#include <sanitizer/asan_interface.h>
#define CL_POISON_REGION(p, n) ASAN_POISON_MEMORY_REGION((p), (n))
#define CL_UNPOISON_REGION(p, n) ASAN_UNPOISON_MEMORY_REGION((p), (n))
#else
#define CL_POISON_REGION(p, n) ((void)(p), (void)(n))
#define CL_UNPOISON_REGION(p, n) ((void)(p), (void)(n))
#endif

#endif
