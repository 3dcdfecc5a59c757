"""What plain SQL reads of a run: two tables of matches, and views with every name spelled out.

Matches are stored for ever as one compressed block a round, which no SQL can read. So each commit also writes them as
plain rows (`match_rows.py`), about 150 bytes a match. Nothing depends on these rows: they are computed from the
blocks again by a repair, compared with them by `league verify`, and left out of every digest. Payoffs, ratings and
versions are plain tables anyway. Scalars are decoded by the view itself and take no room: a record is a scalar's id
(two bytes) and an IEEE 754 double (eight bytes), both little-endian, and powers of two come from doubling and halving
1, so that values are exact to the last bit.

Every object must fit into the first page of a new database beside the first schema: that page is what a repair puts
back (`salvage.py`). Hence the dense SQL. docs/python.md has the columns.
"""

TABLES = ("match_rows", "match_outcomes")
"""Tables that are computed from the rounds' blocks."""

V2 = """
CREATE TABLE match_rows(round INTEGER,place INTEGER,match TEXT,task TEXT,purpose TEXT,situation TEXT,individual REAL,
team REAL,competitive REAL,seats TEXT,void TEXT,PRIMARY KEY(round,place))WITHOUT ROWID;
CREATE TABLE match_outcomes(round INTEGER,place INTEGER,number INTEGER,slot INTEGER,row INTEGER,col INTEGER,
wins INTEGER,draws INTEGER,losses INTEGER,n INTEGER,total REAL,total_sq REAL,
PRIMARY KEY(round,place,number))WITHOUT ROWID;
CREATE VIEW matches_view AS SELECT round,match,task,purpose,situation,individual,team,competitive,seats,void
FROM match_rows;
CREATE VIEW seats_view AS SELECT round,match,key seat,substr(value,1,instr(value,'@')-1)agent,
substr(value,instr(value,'@')+1)+0 step FROM match_rows,json_each(seats);
CREATE VIEW versions_view AS SELECT v.id,a.name agent,step,a.name||'@'||step version,role,round,reason,retired
FROM versions v JOIN agents a ON a.id=agent;
CREATE VIEW outcomes_view AS SELECT o.round,match,relation,s.task,s.situation,domain,r.version row,c.version col,
wins,draws,losses,n,total,total_sq FROM match_outcomes o JOIN match_rows m USING(round,place)JOIN slots s ON s.id=slot
JOIN versions_view r ON r.id=o.row JOIN versions_view c ON c.id=o.col WHERE void IS NULL;
CREATE VIEW payoffs_view AS SELECT relation,task,situation,domain,r.version row,c.version col,wins,draws,losses,n,
total,total_sq,CASE relation WHEN'contest'THEN(wins+draws/2.0)/(wins+draws+losses)ELSE total/n END mean
FROM payoffs p JOIN slots s ON s.id=slot JOIN versions_view r ON r.id=p.row JOIN versions_view c ON c.id=p.col;
CREATE VIEW ratings_view AS SELECT l.name ladder,agent,step,r.round,mu,sigma,games
FROM ratings r JOIN ladders l ON l.id=ladder JOIN versions_view v ON v.id=r.version;
CREATE VIEW scalars_view AS WITH k(n)AS(VALUES(0)UNION ALL SELECT n+1 FROM k WHERE n<15),
c(n)AS(VALUES(0)UNION ALL SELECT n+1 FROM c WHERE n<(SELECT max(length(scalars))/10 FROM rounds)),
i(n,p,q)AS(VALUES(0,1.0,1.0)UNION ALL SELECT n+1,p*2,q/2 FROM i WHERE n<1074),
h AS(SELECT round,hex(substr(scalars,n*10+1,10))h FROM rounds CROSS JOIN c WHERE n<length(scalars)/10),
d AS MATERIALIZED(SELECT round,
(SELECT sum(instr('123456789ABCDEF',substr(h,2+n/2*2-n%2,1))<<4*n)FROM k WHERE n<4)id,
(SELECT sum(instr('123456789ABCDEF',substr(h,6+n/2*2-n%2,1))<<4*n)FROM k)b FROM h)
SELECT round,name,(1-2*(b<0))*((b&4503599627370495)+((b>>52&2047)>0)*4503599627370496.0)
*iif((b>>52&2047)<1075,q,p)value FROM d JOIN scalar_names s ON s.id=d.id JOIN i ON n=abs(max(b>>52&2047,1)-1075);
"""
"""Schema 2 adds these to the first one. Released ones never change."""
