/* SPDX-License-Identifier: MIT */
/*
 * Messages that users meet and what they mean with epcd. Seen with Debian's QEMU 7.2 and libvirt
 * 9.0; the wording of other versions differs a little.
 */
#include "ctl/doctor.h"

static const struct {
	const char *message;
	const char *meaning;
} symptoms[] = {
	{
		"invalid object type: memory-backend-epc",
		"QEMU could not open /dev/sgx_vepc when it started: no such node in its /dev "
		"(libvirt gives it a private one), no permission, no epcd; or it is older than 6.2 "
		"and knows no SGX",
	},
	{
		"failed to open /dev/sgx_vepc to alloc SGX EPC: ...",
		"the node was there when QEMU started and could not be opened for a section. "
		"\"Device or resource busy\": the node is bind-mounted, and every open of it is "
		"the same one",
	},
	{
		"qemu_prealloc_mem: preallocating memory failed: Bad address",
		"with prealloc=on: a cgroup's limit, or the EPC's size, is less than the sections "
		"need; `epcctl ls` says which",
	},
	{
		"error: kvm run failed Bad address",
		"a VM touched EPC that it was refused while it ran; `epcctl ls` says by which "
		"limit",
	},
	{
		"Bus error",
		"the same without KVM: QEMU gets SIGBUS (exit code 135) when it is refused EPC",
	},
	{
		"Parameter 'sgx-epc.0.node' is missing",
		"QEMU 7.0 and later want sgx-epc.N.node=NODE beside sgx-epc.N.memdev; 6.2 does "
		"not know it",
	},
	{
		"Parameter 'sgx-epc.0.memdev' is missing",
		"say -M q35,sgx-epc.0.memdev=ID,sgx-epc.0.node=0 with the id of the "
		"memory-backend-epc; the forms -sgx-epc and -device sgx-epc of QEMU before 6.2 "
		"are gone",
	},
	{
		"didn't provide SGX EPC NUMA info",
		"libvirt takes the EPC's size from the processor, not from the node: use "
		"<qemu:commandline>",
	},
	{
		"can't use already busy memdev",
		"one memory-backend-epc was given to two sections: each needs its own",
	},
	{
		"Transport endpoint is not connected",
		"the daemon is gone and its mount is not: umount -l the run directory and start "
		"epcd again",
	},
};

json_t *doctor_symptoms(void)
{
	json_t *list = json_array();

	for (size_t i = 0; i < sizeof(symptoms) / sizeof(symptoms[0]); i++)
		json_array_append_new(list, json_pack("{s:s, s:s}", "message", symptoms[i].message,
						      "meaning", symptoms[i].meaning));
	return list;
}
