/* Shared by the files of ingest/ only. */
#pragma once

#include "ingest/ingest.h"
#include "ingest_sql.h"

enum { INGEST_LIVE_CALL_MS = 30000 }; /* deadline of one unit about events and the subscription */
