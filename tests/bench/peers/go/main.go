// Go's net/http with pgx, redigo and golang-jwt, all of them Debian's: finished JSON is sent as it is.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/golang-jwt/jwt"
	"github.com/gomodule/redigo/redis"
	"github.com/jackc/pgx/v4"
	"github.com/jackc/pgx/v4/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

type query struct {
	SQL   string   `json:"sql"`
	Names []string `json:"names"`
}

type statements struct {
	Account   query   `json:"account"`
	Today     query   `json:"today"`
	Evidence  []query `json:"evidence"`
	Catalogue string  `json:"catalogue"`
}

type peer struct {
	queries statements
	secret  []byte
	db      *pgxpool.Pool
	redis   *redis.Pool
}

var duration = prometheus.NewHistogramVec(prometheus.HistogramOpts{
	Name: "http_request_duration_seconds", Help: "Time to answer"},
	[]string{"method", "route", "status"})

func (q query) values(given map[string]interface{}) []interface{} {
	values := make([]interface{}, len(q.Names))
	for i, name := range q.Names {
		values[i] = given[name]
	}
	return values
}

func today() string { return time.Now().UTC().Format("2006-01-02") }

func (p *peer) user(r *http.Request) (int64, error) {
	given := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
	claims := &jwt.StandardClaims{}
	parser := jwt.Parser{ValidMethods: []string{"HS256"}}
	_, err := parser.ParseWithClaims(given, claims, func(*jwt.Token) (interface{}, error) { return p.secret, nil })
	if err != nil {
		return 0, err
	}
	if claims.Issuer != "gtsd-api" || claims.Audience != "gtsd-client" {
		return 0, errors.New("not for us")
	}
	return strconv.ParseInt(claims.Subject, 10, 64)
}

func (p *peer) allowed(c redis.Conn, user int64) (bool, error) {
	key := fmt.Sprintf("peer:limit:%d:%d", user, time.Now().Unix()/60)
	c.Send("INCR", key)
	c.Send("EXPIRE", key, 120)
	replies, err := redis.Values(c.Do(""))
	if err != nil {
		return false, err
	}
	count, err := redis.Int(replies[0], nil)
	return count <= 1000000, err
}

func (p *peer) active(ctx context.Context, c redis.Conn, user int64) (bool, error) {
	key := fmt.Sprintf("peer:account:%d", user)
	found, err := redis.String(c.Do("GET", key))
	if err == nil {
		return found == "1", nil
	}
	if err != redis.ErrNil {
		return false, err
	}
	var id int64
	var zone string
	var active bool
	q := p.queries.Account
	err = p.db.QueryRow(ctx, q.SQL, q.values(map[string]interface{}{"user_id": user})...).Scan(&id, &zone, &active)
	if err == nil && active {
		_, err = c.Do("SET", key, "1", "EX", 60)
	}
	return active, err
}

func answer(w http.ResponseWriter, status int, data []byte) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.Header().Set("Content-Length", strconv.Itoa(len(data)+len(`{"success":true,"data":}`)))
	w.WriteHeader(status)
	w.Write([]byte(`{"success":true,"data":`))
	w.Write(data)
	w.Write([]byte(`}`))
}

func (p *peer) load(ctx context.Context, user int64, limit int) ([]byte, error) {
	q, day := p.queries.Today, today()
	var text string
	err := p.db.QueryRow(ctx, q.SQL, q.values(map[string]interface{}{
		"user_id": user, "day": day, "today": day, "limit": limit, "offset": 0})...).Scan(&text)
	return []byte(text), err
}

func (p *peer) getToday(w http.ResponseWriter, r *http.Request, c redis.Conn, user int64) int {
	limit := 50
	if given := r.URL.Query().Get("limit"); given != "" {
		limit, _ = strconv.Atoi(given)
	}
	key := fmt.Sprintf("peer:today:%d:%s", user, today())
	if limit == 50 {
		if found, err := redis.Bytes(c.Do("GET", key)); err == nil {
			answer(w, 200, found)
			return 200
		}
	}
	data, err := p.load(r.Context(), user, limit)
	if err != nil {
		return refuse(w, 500, err)
	}
	if limit == 50 {
		c.Do("SET", key, data, "EX", 60)
	}
	answer(w, 200, data)
	return 200
}

type newEvidence struct {
	TaskID int64 `json:"taskId"`
	Type   string
	Data   struct{ Text string }
}

func (p *peer) postEvidence(w http.ResponseWriter, r *http.Request, c redis.Conn, user int64) int {
	var body newEvidence
	err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 100*1024)).Decode(&body)
	if err != nil || body.TaskID < 1 || body.Type != "text_log" || body.Data.Text == "" {
		return refuse(w, 400, err)
	}
	data, _ := json.Marshal(map[string]string{"text": body.Data.Text})
	given := map[string]interface{}{
		"user_id": user, "task_id": body.TaskID, "type": body.Type, "data": string(data), "notes": nil,
		"today": today(), "now": time.Now().UTC(), "catalogue": p.queries.Catalogue}
	var text *string
	err = p.db.BeginFunc(r.Context(), func(tx pgx.Tx) error {
		last := len(p.queries.Evidence) - 1
		for _, q := range p.queries.Evidence[:last] {
			if _, err := tx.Exec(r.Context(), q.SQL, q.values(given)...); err != nil {
				return err
			}
		}
		q := p.queries.Evidence[last]
		return tx.QueryRow(r.Context(), q.SQL, q.values(given)...).Scan(&text)
	})
	if err != nil || text == nil {
		return refuse(w, 500, err)
	}
	c.Do("DEL", fmt.Sprintf("peer:today:%d:%s", user, today()))
	answer(w, 201, []byte(*text))
	return 201
}

func refuse(w http.ResponseWriter, status int, err error) int {
	if err != nil && status >= 500 {
		log.Print(err)
	}
	http.Error(w, `{"success":false}`, status)
	return status
}

type handler func(http.ResponseWriter, *http.Request, redis.Conn, int64) int

func (p *peer) route(method, path string, serve handler) {
	http.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) {
		began := time.Now()
		status := p.checked(w, r, method, serve)
		took := time.Since(began).Seconds()
		duration.WithLabelValues(r.Method, path, strconv.Itoa(status)).Observe(took)
		log.Printf(`{"method":%q,"url":%q,"status":%d,"seconds":%f}`, r.Method, r.URL.Path, status, took)
	})
}

func (p *peer) checked(w http.ResponseWriter, r *http.Request, method string, serve handler) int {
	if r.Method != method {
		return refuse(w, 405, nil)
	}
	user, err := p.user(r)
	if err != nil {
		return refuse(w, 401, err)
	}
	c := p.redis.Get()
	defer c.Close()
	if ok, err := p.allowed(c, user); err != nil || !ok {
		return refuse(w, 429, err)
	}
	if ok, err := p.active(r.Context(), c, user); err != nil || !ok {
		return refuse(w, 401, err)
	}
	return serve(w, r, c, user)
}

func main() {
	p := &peer{secret: []byte(os.Getenv("JWT_SECRET"))}
	text, err := os.ReadFile(os.Getenv("QUERIES"))
	if err == nil {
		err = json.Unmarshal(text, &p.queries)
	}
	if err != nil {
		log.Fatal(err)
	}
	config, err := pgxpool.ParseConfig(os.Getenv("DATABASE_URL"))
	if err != nil {
		log.Fatal(err)
	}
	config.MaxConns = 10
	if p.db, err = pgxpool.ConnectConfig(context.Background(), config); err != nil {
		log.Fatal(err)
	}
	p.redis = &redis.Pool{MaxIdle: 64, Dial: func() (redis.Conn, error) { return redis.DialURL(os.Getenv("REDIS_URL")) }}
	prometheus.MustRegister(duration)
	http.Handle("/metrics", promhttp.Handler())
	http.HandleFunc("/ready", func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte(`{"ready":true}`)) })
	p.route("GET", "/v1/tasks/today", p.getToday)
	p.route("POST", "/v1/evidence", p.postEvidence)
	log.Fatal(http.ListenAndServe("127.0.0.1:"+os.Getenv("PORT"), nil))
}
