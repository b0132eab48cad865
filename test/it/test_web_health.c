#include "it/http.h"
static void t(void **s){(void)s; struct it_db *db = it_db_new(); struct it_proc *p = it_serve(db, IT_LIST("WAYMARK_ADMIN_LISTEN=127.0.0.1:0","WAYMARK_ADMIN_SECRET=abcabc", "WAYMARK_HTTP_LISTEN=127.0.0.1:0"));
 const char *a = http_address(p, "admin"); http_is(http_ask(a,"GET","/healthz",NULL,NULL),200); struct http_answer r = http_ask(a,"GET","/readyz",NULL,NULL); printf("%s%s\n", r.head, r.body);
 struct browser b = http_logged_in(a,"abcabc"); printf("%s\n", http_csrf(&b)); r=http_get(&b,"/admin"); printf("%s%s\n", r.head, r.body); r=http_get(&b,"/metrics"); printf("%s%s\n", r.head, r.body);
 printf("%s\n", it_errors(p));
 it_query(db,"select 1"); PGresult*q=it_query(db,"select pid,application_name,left(query,60) from pg_stat_activity where datname=current_database()"); for(int i=0;i<PQntuples(q);i++)printf("%s %s %s\n",PQgetvalue(q,i,0),PQgetvalue(q,i,1),PQgetvalue(q,i,2));
 it_serve_stop(p);}
int main(void){const struct CMUnitTest tests[]={IT_TEST(t)};return cmocka_run_group_tests(tests,it_up,it_down);}
