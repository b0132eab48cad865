/* Places where the fault tests stop or kill the process (test/chaos/). In a build without
 * WAYMARK_FAULTS, such as every release, a FAULT_POINT is nothing.
 *
 * The environment variable WAYMARK_FAULT says what happens where: name:nth:action[:arg], several
 * separated by commas. nth counts the passages of that point from 1; "2+" is every one from the
 * second on. Actions: kill (SIGKILL), stop (SIGSTOP), abort, exit[:status], sleep:MS, which blocks
 * the thread that passes. One line on standard error says so before it is done. */
#pragma once

#ifdef WAYMARK_FAULTS
#define FAULT_POINT(name) fault_passed(name)
/* Any thread. */
void fault_passed(const char *name);
#else
#define FAULT_POINT(name) ((void)0)
#endif
