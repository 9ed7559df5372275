// SPDX-License-Identifier: GPL-2.0-only
/* Shims for include/linux/mm.h and include/linux/pagemap.h: faults of mappings, and what is dirty. */

#include <linux/mm.h>
#include <linux/pagemap.h>

#include "helpers.h"

/* The bytes of the file that a store may go to once the page of a fault is writable: its folio's. */
void vfs_helper_fault_range(const struct vm_fault *vmf, u64 *start, u64 *len)
{
	const struct folio *folio = page_folio(vmf->page);

	*start = folio_pos(folio);
	*len = folio_size(folio);
}

/* Locks the page of a fault where ->page_mkwrite() has left that to its caller; whether it is still of the file. */
bool vfs_helper_fault_lock(struct vm_fault *vmf)
{
	struct folio *folio = page_folio(vmf->page);

	folio_lock(folio);
	if (folio->mapping)
		return true;
	folio_unlock(folio);
	return false;
}

void vfs_helper_fault_unlock(struct vm_fault *vmf)
{
	folio_unlock(page_folio(vmf->page));
}

/* Whether somebody has mapped it shared, and may write through the mapping. */
bool vfs_helper_is_mapped_writably(const struct file *file)
{
	return mapping_writably_mapped(file->f_mapping);
}

bool vfs_helper_is_dax(const struct inode *inode)
{
	return IS_DAX(inode);
}
