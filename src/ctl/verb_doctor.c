/* SPDX-License-Identifier: MIT */
/* epcctl doctor: runs the checks in order and prints what they found. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "ctl/doctor.h"

static const char *const severity_names[] = {
	[DOCTOR_OK] = "ok",
	[DOCTOR_NOTE] = "note",
	[DOCTOR_WARNING] = "warning",
	[DOCTOR_PROBLEM] = "problem",
};

/* A new string: text with the directory's name wherever it says RUN_DIR. NULL: no memory. */
static char *run_dir_put(const char *text, const char *run_dir)
{
	static const char word[] = "RUN_DIR";
	char *shown = text_escape_string_new(run_dir);
	size_t size = 0;
	char *out = NULL;
	FILE *stream = shown ? open_memstream(&out, &size) : NULL;

	while (stream) {
		const char *at = strstr(text, word);

		fwrite(text, 1, at ? (size_t)(at - text) : strlen(text), stream);
		if (!at)
			break;
		fputs(shown, stream);
		text = at + sizeof(word) - 1;
	}
	if (stream)
		fclose(stream);
	free(shown);
	return out;
}

void doctor_add(struct doctor *doctor, const char *check, enum doctor_severity severity,
		const char *remedy, const char *cause, ...)
{
	json_t *finding = json_object();
	va_list arguments;
	char *text, *shown, *help = remedy ? run_dir_put(remedy, doctor->ctl->run_dir) : NULL;

	va_start(arguments, cause);
	if (vasprintf(&text, cause, arguments) < 0)
		text = NULL;
	va_end(arguments);
	shown = text ? text_show_new(text) : NULL;
	json_object_set_new(finding, "check", json_string(check));
	json_object_set_new(finding, "severity", json_string(severity_names[severity]));
	json_object_set_new(finding, "cause", json_string(shown ? shown : "no memory"));
	json_object_set_new(finding, "remedy", help ? json_string(help) : json_null());
	json_object_set_new(finding, "seen_as", json_array());
	json_array_append_new(doctor->findings, finding);
	if (severity == DOCTOR_PROBLEM)
		doctor->has_problem = true;
	free(help);
	free(shown);
	free(text);
}

void doctor_seen_as(struct doctor *doctor, const char *symptom)
{
	size_t nr_findings = json_array_size(doctor->findings);
	json_t *finding = json_array_get(doctor->findings, nr_findings - 1);

	json_array_append_new(json_object_get(finding, "seen_as"), json_string(symptom));
}

static void finding_print(const json_t *finding)
{
	const char *remedy = ctl_member_text(finding, "remedy");
	json_t *symptom;
	size_t i;

	printf("%-8s %s: ", ctl_member_text(finding, "severity"),
	       ctl_member_text(finding, "check"));
	ctl_show(ctl_member_text(finding, "cause"), 0);
	putchar('\n');
	json_array_foreach(json_object_get(finding, "seen_as"), i, symptom)
		printf("         seen as: %s\n", json_string_value(symptom));
	if (*remedy)
		printf("         remedy: %s\n", remedy);
}

static void findings_print(const struct doctor *doctor, const json_t *symptoms)
{
	json_t *one;
	size_t i;

	json_array_foreach(doctor->findings, i, one)
		finding_print(one);
	puts("\nMessages, and what they mean here:");
	json_array_foreach(symptoms, i, one)
		printf("  \"%s\"\n      %s\n", ctl_member_text(one, "message"),
		       ctl_member_text(one, "meaning"));
}

int verb_doctor(const struct ctl *ctl)
{
	static void (*const checks[])(struct doctor * doctor) = {
		doctor_check_kernel, doctor_check_fuse,	       doctor_check_daemon,
		doctor_check_node,   doctor_check_permissions, doctor_check_cgroup2,
		doctor_check_bdi,    doctor_check_libvirt,     doctor_check_reports,
	};
	struct doctor doctor = { .ctl = ctl, .findings = json_array() };
	json_t *symptoms = doctor_symptoms();
	int code = CTL_EXIT_OK;

	for (size_t i = 0; i < sizeof(checks) / sizeof(checks[0]); i++)
		checks[i](&doctor);
	if (ctl->is_json)
		code = ctl_print_json(
			json_pack("{s:O, s:O}", "findings", doctor.findings, "symptoms", symptoms));
	else
		findings_print(&doctor, symptoms);
	json_decref(doctor.findings);
	json_decref(doctor.status);
	json_decref(symptoms);
	if (fflush(stdout))
		code = CTL_EXIT_PROBLEM;
	return doctor.has_problem ? CTL_EXIT_PROBLEM : code;
}
