/* SPDX-License-Identifier: MIT */
/* compat.h – constants of kernels newer than the oldest supported headers (Linux 6.1)
 *
 * Values are those of the kernel's uapi headers, which never change. Nothing here when they have
 * it.
 */
#ifndef LUGE_COMPAT_H
#define LUGE_COMPAT_H

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/syscall.h>

#ifndef SYS_fchmodat2
#define SYS_fchmodat2 452 /* Linux 6.6 */
#endif
#ifndef SYS_statmount
#define SYS_statmount 457 /* Linux 6.8 */
#endif
#ifndef SYS_listmount
#define SYS_listmount 458 /* Linux 6.8 */
#endif

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U /* Linux 6.3 */
#endif
#ifndef MFD_EXEC
#define MFD_EXEC 0x0010U /* Linux 6.3 */
#endif
#ifndef F_SEAL_EXEC
#define F_SEAL_EXEC 0x0020 /* Linux 6.3 */
#endif

#ifndef MOVE_MOUNT_BENEATH
#define MOVE_MOUNT_BENEATH 0x00000200 /* Linux 6.5 */
#endif
#ifndef STATX_MNT_ID_UNIQUE
#define STATX_MNT_ID_UNIQUE 0x00004000U /* Linux 6.8 */
#endif

#ifndef STATMOUNT_SB_BASIC /* Linux 6.8 */
#define STATMOUNT_SB_BASIC	 0x00000001U
#define STATMOUNT_MNT_BASIC	 0x00000002U
#define STATMOUNT_PROPAGATE_FROM 0x00000004U
#define STATMOUNT_MNT_ROOT	 0x00000008U
#define STATMOUNT_MNT_POINT	 0x00000010U
#define STATMOUNT_FS_TYPE	 0x00000020U
#endif
#ifndef STATMOUNT_MNT_NS_ID
#define STATMOUNT_MNT_NS_ID 0x00000040U /* Linux 6.11 */
#endif
#ifndef STATMOUNT_MNT_OPTS
#define STATMOUNT_MNT_OPTS 0x00000080U /* Linux 6.11 */
#endif
#ifndef STATMOUNT_SB_SOURCE
#define STATMOUNT_FS_SUBTYPE 0x00000100U /* Linux 6.13 */
#define STATMOUNT_SB_SOURCE  0x00000200U /* Linux 6.13 */
#endif
#ifndef STATMOUNT_SUPPORTED_MASK
#define STATMOUNT_SUPPORTED_MASK 0x00001000U /* Linux 6.15 */
#endif

#ifndef MQUEUE_MAGIC
#define MQUEUE_MAGIC 0x19800202 /* in ipc/mqueue.c only */
#endif
#ifndef PID_FS_MAGIC
#define PID_FS_MAGIC 0x50494446 /* Linux 6.9 */
#endif

/* The flags of open_tree(2) are those of two families, and one of umount2(2) lacks its prefix:
 * these give each set of constants.list one prefix. */
#define OPEN_TREE_RECURSIVE	   AT_RECURSIVE
#define OPEN_TREE_EMPTY_PATH	   AT_EMPTY_PATH
#define OPEN_TREE_SYMLINK_NOFOLLOW AT_SYMLINK_NOFOLLOW
#define OPEN_TREE_NO_AUTOMOUNT	   AT_NO_AUTOMOUNT
#define MNT_NOFOLLOW		   UMOUNT_NOFOLLOW

#endif
