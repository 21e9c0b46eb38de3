/* SPDX-License-Identifier: MIT */
/*
 * Whether memory of a client may be executed. The kernel's driver asks for VM_MAYEXEC, which all
 * memory has but files on file systems that are mounted noexec. /proc/PID/maps does not show it;
 * VmFlags in smaps do, but that walks page tables: it is read for files only.
 */
#include "front/fetch.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>

/* A line of maps, or the first one of an entry of smaps. */
struct entry {
	uint64_t start, end, inode;
	unsigned int major, minor;
	char rights[5];
};

static bool entry_parse(const char *line, struct entry *entry)
{
	return sscanf(line, "%" SCNx64 "-%" SCNx64 " %4s %*x %x:%x %" SCNu64, &entry->start,
		      &entry->end, entry->rights, &entry->major, &entry->minor, &entry->inode) == 6;
}

static FILE *proc_open(pid_t tid, const char *name)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/%s", (int)tid, name);
	return fopen(path, "re");
}

static bool entry_find(FILE *maps, uint64_t address, struct entry *entry)
{
	char *line = NULL;
	size_t size = 0;
	bool is_found = false;

	while (!is_found && getline(&line, &size, maps) > 0)
		is_found = entry_parse(line, entry) && address >= entry->start &&
			   address < entry->end;
	free(line);
	return is_found;
}

/* "VmFlags: rd wr mr mw me ac" comes last in an entry of smaps; me: it may be executed. */
static bool smaps_may_exec(pid_t tid, uint64_t address)
{
	FILE *smaps = proc_open(tid, "smaps");
	struct entry entry;
	char *line = NULL;
	size_t size = 0;
	bool may_exec = false;

	if (!smaps)
		return false;
	if (entry_find(smaps, address, &entry)) {
		while (getline(&line, &size, smaps) > 0) {
			if (strncmp(line, "VmFlags:", strlen("VmFlags:")) != 0)
				continue;
			may_exec = strstr(line, " me ") != NULL;
			break;
		}
	}
	free(line);
	fclose(smaps);
	return may_exec;
}

int fetch_mapping_find(pid_t tid, uint64_t address, struct fetch_mapping *mapping)
{
	FILE *maps = proc_open(tid, "maps");
	struct entry entry;
	bool is_found;

	if (!maps)
		return -EFAULT;
	is_found = entry_find(maps, address, &entry);
	fclose(maps);
	/* The kernel cannot pin pages of its own device. */
	if (!is_found || (entry.inode && makedev(entry.major, entry.minor) == mapping->not_of))
		return -EFAULT;
	if (entry.inode && !strchr(entry.rights, 'x') && !smaps_may_exec(tid, address))
		return -EACCES;
	mapping->start = entry.start;
	mapping->end = entry.end;
	return 0;
}
